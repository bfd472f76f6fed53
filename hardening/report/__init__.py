"""How compositions, findings and changes are shown: text, JSON, SARIF and HTML. Nothing here prints."""
