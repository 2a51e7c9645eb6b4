"""Files of interactions as columns: JSONL, CSV and Parquet, as they are or through a mapping."""
