"""The yardstick: JupyterHub and DockerSpawner as their documentation sets them up, same image, same limits."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # given by traitlets

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['PLAIN_PORT']}/"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_port = int(os.environ["PLAIN_HUB_PORT"])
c.JupyterHub.hub_connect_ip = os.environ["PLAIN_GATEWAY"]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "bench"
c.Authenticator.allow_all = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.cleanup_servers = True
c.ConfigurableHTTPProxy.command = os.environ["PLAIN_PROXY"].split()
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['PLAIN_PROXY_API_PORT']}"
c.ConfigurableHTTPProxy.pid_file = os.environ["PLAIN_FOLDER"] + "/proxy.pid"
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = os.environ["PLAIN_IMAGE"]
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.prefix = os.environ["PLAIN_PREFIX"]
c.DockerSpawner.network_name = os.environ["PLAIN_NETWORK"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.mem_limit = int(os.environ["PLAIN_MEMORY"])
c.DockerSpawner.cpu_limit = float(os.environ["PLAIN_CPU"])
if os.environ["PLAIN_DEVICE"]:
    request = {"driver": "cdi", "device_ids": [os.environ["PLAIN_DEVICE"]]}
    c.DockerSpawner.extra_host_config = {"device_requests": [request]}
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
