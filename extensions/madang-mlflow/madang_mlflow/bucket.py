"""S3 as this server offers it: through the server alone.

MLflow's own class for S3 can also sign addresses with which a client goes to the storage by itself, and
MLflow's server tells clients to do so. Such an address passes the gate by: no quota, no end when rights
end, and users' servers may not reach the storage at all. This class has MLflow's in it and offers only what
passes through the server; so MLflow answers that there are no such addresses, and its client sends and
fetches here.

It is found by the entry point ``mlflow.artifact_repository`` of this package.
"""

from typing import Any

from botocore.exceptions import ClientError
from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from madang_mlflow.storage import SCHEME


class Bucket(ArtifactRepository):
    """Artifacts in a bucket, below a prefix (``madang-s3://bucket/prefix``)."""

    def __init__(self, artifact_uri: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(artifact_uri, *args, **kwargs)
        self._inner = S3ArtifactRepository(f"s3{artifact_uri.removeprefix(SCHEME)}")

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store a file."""
        self._inner.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store a folder."""
        self._inner.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies in a folder."""
        found: list[FileInfo] = self._inner.list_artifacts(path)
        return found

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file or a folder."""
        self._inner.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        try:
            self._inner._download_file(remote_file_path, local_path)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("404", "NoSuchKey"):
                raise
            # else the client hears 500, and asks again and again for what is not there
            raise MlflowException(
                f"No such artifact: {remote_file_path}", error_code=RESOURCE_DOES_NOT_EXIST
            ) from error
