"""Images of an area or an alert on a date, pictures with outlines, scale bar and compass rose, charts, animations."""
