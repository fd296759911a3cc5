"""Where the target is and who asks there: URLs, option files of MySQL, `.env`, `config.py`."""
