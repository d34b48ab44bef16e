"""One HTML page about a result, that needs nothing but itself and the video beside it.

`uPlot.iife.min.js` and `uPlot.min.css` are uPlot 1.6.32 (https://github.com/leeoniya/uPlot), unchanged; it is under the
MIT licence in `uPlot.LICENSE`.
"""

from __future__ import annotations

from .page import MAX_EMBED_BYTES, ReportSummary, write_report

__all__ = ["MAX_EMBED_BYTES", "ReportSummary", "write_report"]
