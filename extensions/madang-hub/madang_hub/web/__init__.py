"""What people see: templates, static files, translations, and how the Hub is told about them."""
