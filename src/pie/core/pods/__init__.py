"""What only pods need that pie starts itself (`runner: Pod`): their due times, names and manifests."""
