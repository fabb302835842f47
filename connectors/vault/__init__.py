"""The vault: pseudonyms, data keys, salts and secrets, in SQLite under the operator's master key.

| file            | holds                                               | backed up                  |
|-----------------|-----------------------------------------------------|----------------------------|
| `vault.db`      | everything, wrapped under the master key            | yes; backups expire        |
| `suppressed.db` | keyed hashes of who was erased, for good            | apart, newest copy only    |
| the key file    | the master key, in all versions that are in use     | apart from `vault.db`      |

Begin at `opening.py`, then `sqlite.py`.
"""
