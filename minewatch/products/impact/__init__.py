"""What mining cost the land: alerts and assumptions in, physical figures out, each as a range."""
