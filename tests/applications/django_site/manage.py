"""The commands of Django for the site, with PyMySQL in the place of mysqlclient."""

import os
import sys

import pymysql
from django.core.management import execute_from_command_line

# Django asks for a version of mysqlclient, which PyMySQL stands for.
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
