"""Rows that the last run knew, or the plan names: with another key now, with an id that stays, or gone."""
