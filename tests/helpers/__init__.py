"""What several tests share: areas and catalogues made small, servers on this machine, and eyes for what was written."""
