"""The report as a page and a style sheet, for Jinja."""
