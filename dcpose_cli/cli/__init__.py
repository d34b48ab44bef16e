"""The command line: every command collects options, calls one public function and reports."""
