"""The command line: every command collects options, calls one public function and reports.

A command is a verb (`estimate`, `export`, `render`); `models` groups the verbs on models. An option has one name
everywhere: `--out` is what is written, `--format` its format, `--gt` ground truth, `--json` figures or poses as JSON.

    app.py, *_app.py    declarations: names, options, help; nothing heavy is imported
    command.py          how a declaration becomes a command
    options.py          the options that several commands share
    *_command(s).py     bodies, imported when a command runs
"""
