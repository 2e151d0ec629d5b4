"""What the ground of an alert looks like: chips of reflectance in, a likeness to mines out, with what it rests on.

Plain numpy without input or output but for the weights, which lie beside the code with their model card.  It orders alerts
for people who look at them; it decides nothing.
"""
