"""Tables, plots and pages from result JSON only; never trains."""

from __future__ import annotations

from torchsse.report.document import check_document, read_document
from torchsse.report.page import markdown_page
from torchsse.report.plots import write_figures
from torchsse.report.tables import markdown_table, rich_further, rich_table
from torchsse.report.verdict import remarks, verdict

__all__ = [
    "check_document",
    "markdown_page",
    "markdown_table",
    "read_document",
    "remarks",
    "rich_further",
    "rich_table",
    "verdict",
    "write_figures",
]
