"""What people receive: images, reports, evidence, exports and a QGIS project.

Each is made from the alerts table, the archive and the workspace's settings, and changes none of them.
"""
