"""Change history and decisions of people in, alerts out.

Holds the replay that makes alerts, the GeoPackage that holds them, decisions, the legal and natural context, alerts of other
systems, the explanation of an alert, and its score against known truth.
"""
