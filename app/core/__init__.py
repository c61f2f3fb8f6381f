"""What every floor may use: time, chance, ids, errors, settings, and the words of replies and decisions."""
