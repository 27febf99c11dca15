"""Grammar to parser: Lark compiles grammar/*.lark once per build into tables; a small driver runs them without Lark."""
