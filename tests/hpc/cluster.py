"""A private Slurm of two nodes on this machine: ``cpu1`` for ordinary tasks, ``gpu1`` with two fake GPUs.

It has its own key, sockets, ports and state; no system daemon and no file under /etc is touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path

GPUS = 2
START_SECONDS = 30
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
PACKAGES = "slurm-wlm munge"

# A GRES file must be a character device, or CUDA_VISIBLE_DEVICES is never set; its number is the index there.
GRES = "NodeName=gpu1 Name=gpu Type=fake File={folder}/dev/nvidia[0-{last}]\n"
CGROUP = "CgroupAutomount=no\nConstrainDevices=no\n"
CONFIGURATION = """\
ClusterName=private
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/socket/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
MpiDefault=none
ReturnToService=2
KillWait=5
OverTimeLimit=0
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=1
MinJobAge=300
SlurmdParameters=config_overrides
NodeName=DEFAULT CPUs=4 RealMemory=16000 State=UNKNOWN
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu_port}
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu_port} Gres=gpu:fake:{gpus}
PartitionName=short Nodes=cpu1 Default=YES MaxTime=1-0 DefaultTime=10 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=1-0 DefaultTime=10 State=UP
PartitionName=both Nodes=cpu1,gpu1 MaxTime=1-0 DefaultTime=10 State=UP
"""


def why_not():
    """The reason why no cluster can be started here; empty if one can."""
    missing = [command for command in COMMANDS if _find(command) is None]
    if missing:
        return f"no {', '.join(missing)} (Debian: apt-get install {PACKAGES})"
    return "" if os.geteuid() == 0 else "slurmd and the fake GPUs' device files need root"


def _find(command):
    return shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")


def _free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """Starts with ``with``; ``environment`` makes sbatch and Nextflow use it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        with ExitStack() as started:
            started.callback(self.__exit__)  # a start that fails half-way leaves no process
            self._start()
            started.pop_all()
        return self

    def __exit__(self, *_):
        for name in ("slurmd-cpu1", "slurmd-gpu1", "slurmctld", "munged"):
            file = self.folder / "run" / f"{name}.pid"
            if file.exists():
                os.kill(int(file.read_text(encoding="utf-8")), signal.SIGTERM)

    def _start(self):
        for name in ("state", "log", "run", "spool/cpu1", "spool/gpu1", "munge", "socket", "dev"):
            (self.folder / name).mkdir(parents=True)
        self._start_munge()
        for number in range(GPUS):
            os.mknod(self.folder / "dev" / f"nvidia{number}", 0o666 | 0o020000, os.makedev(1, 3))  # as /dev/null
        values = {
            "host": socket.gethostname().partition(".")[0], "folder": self.folder, "gpus": GPUS, "last": GPUS - 1,
            "controller_port": _free_port(), "cpu_port": _free_port(), "gpu_port": _free_port(),
        }  # fmt: skip
        for name, text in (("slurm", CONFIGURATION), ("gres", GRES), ("cgroup", CGROUP)):
            (self.folder / f"{name}.conf").write_text(text.format(**values), encoding="utf-8")
        self._run("slurmctld")
        for node in ("cpu1", "gpu1"):
            self._run("slurmd", "-N", node)
        self._wait_for_nodes()

    def _start_munge(self):
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        key.parent.chmod(0o700)
        (self.folder / "socket").chmod(0o755)
        self._run(
            "munged", "--force", f"--key-file={key}", f"--socket={self.folder}/socket/munge",
            f"--pid-file={self.folder}/run/munged.pid", f"--log-file={self.folder}/munge/munged.log",
            f"--seed-file={self.folder}/munge/seed",
        )  # fmt: skip

    def _run(self, command, *arguments):
        found = subprocess.run(
            [_find(command), *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert found.returncode == 0, f"{command}: {found.stdout}{found.stderr}"
        return found.stdout

    def _wait_for_nodes(self):
        end = time.monotonic() + START_SECONDS
        while set(self._run("sinfo", "-h", "-N", "-o", "%t").split()) != {"idle"}:
            assert time.monotonic() < end, f"the nodes did not come up, see {self.folder}/log"
            time.sleep(0.5)

    def cancel(self, name):
        """``scancel`` every job whose name matches."""
        self._run("scancel", "--name", name)

    def running(self):
        """Names of the jobs that run now."""
        return self._run("squeue", "-h", "-t", "R", "-o", "%j").split()

    def jobs(self):
        """What Slurm noted of every job that ended: its JobId, Name, JobState, Partition, NodeList, Tres, WorkDir."""
        lines = (self.folder / "jobs.txt").read_text(encoding="utf-8").splitlines()
        return [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
