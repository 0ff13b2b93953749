"""The leaf that owns numpy: statistics on arrays. Imported when something is judged, never at parse time."""
