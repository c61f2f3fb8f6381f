"""Third-party handlers, actions, effect kinds and jobs: found, loaded, watched, switched off."""
