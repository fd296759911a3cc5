"""What concerns an output folder as a whole: whose rows it holds, and `id_mappings.json`, made of all its maps."""
