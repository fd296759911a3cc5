"""Places with a natural key and visits without one, twenty of each, in a source and in an empty target."""

from __future__ import annotations

ROWS = 20
SOURCE = """
    CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE visits (id INTEGER PRIMARY KEY AUTOINCREMENT, place_id INTEGER REFERENCES places, note TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
    INSERT INTO places SELECT i * 3, 'place ' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
    INSERT INTO visits SELECT i, i * 3, 'note ' || (i / 2) FROM n;
"""
TARGET = """
    CREATE TABLE places (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE);
    CREATE TABLE visits (id INT AUTO_INCREMENT PRIMARY KEY, place_id INT, note VARCHAR(50),
        FOREIGN KEY (place_id) REFERENCES places (id));
"""
JOINED = "SELECT LOWER(name), note FROM visits JOIN places ON place_id = places.id"
