"""The kubeconfig files that the testbed writes: one cluster, one user with a token."""

from pathlib import Path

import msgspec
import yaml


class Kubeconfig(msgspec.Struct, frozen=True):
    """The address of an API server, a user, and the namespace of the user's context."""

    server: str
    certificate_authority: Path
    token: str
    namespace: str = "default"

    def write(self, path: Path) -> None:
        """Write the file; only its owner can read it."""
        cluster = {"server": self.server, "certificate-authority": str(self.certificate_authority)}
        context = {"cluster": "testbed", "user": "user", "namespace": self.namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": self.token}}],
            "contexts": [{"name": "testbed", "context": context}],
            "current-context": "testbed",
        }
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))

    @classmethod
    def read(cls, path: Path) -> "Kubeconfig":
        """Read what `write` wrote."""
        config = yaml.safe_load(path.read_text())
        cluster = config["clusters"][0]["cluster"]
        token = config["users"][0]["user"]["token"]
        return cls(cluster["server"], Path(cluster["certificate-authority"]), token)
