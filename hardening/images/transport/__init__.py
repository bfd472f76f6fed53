"""Where images come from: registries, archives and layouts."""
