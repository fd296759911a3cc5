"""A source of a table with an odd name, one without an id and one that refers to itself, and a target of the last."""

SOURCE = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, boss_id INT REFERENCES people);
    CREATE TABLE "odd ""name"" [x]\n" (nr INTEGER PRIMARY KEY, "person no" INT REFERENCES people);
    CREATE TABLE log (line TEXT);
    INSERT INTO log VALUES ('x')"""
TARGET = "CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(50) NOT NULL UNIQUE, boss_id INT)"
