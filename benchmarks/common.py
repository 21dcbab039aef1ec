"""What the benchmark scripts share: names of this machine, calls of `rollmill bench`, the results folder."""
import json
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "benchmarks/results")


def run(arguments, **keywords):
    """Standard output of a command; a failing one ends the script with the command and its last words."""
    done = subprocess.run(arguments, capture_output=True, text=True, **keywords)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}\n{(done.stderr or done.stdout)[-2000:].strip()}")
    return done.stdout


def processor():
    """The model name; of an AMD EPYC, as virtual machines call all of them, with its generation, by family and instructions."""
    with open("/proc/cpuinfo") as file:
        text = file.read()
    name, family, flags = (re.search(rf"^{key}\s*:\s*(.*)$", text, re.M).group(1).strip()
                           for key in ("model name", "cpu family", "flags"))
    generation = {"25": "Zen 4" if "avx512f" in flags.split() else "Zen 3", "26": "Zen 5"}.get(family)
    return f"{name} ({generation})" if name == "AMD EPYC" and generation else name


def cores():
    return len(os.sched_getaffinity(0))


def caches():
    """Sizes by level as the kernel names them, such as {"L2": "1024K"}; data and unified caches of one core."""
    folder, sizes = "/sys/devices/system/cpu/cpu0/cache", {}
    for index in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        fact = {}
        for name in ("level", "type", "size"):
            path = os.path.join(folder, index, name)
            if os.path.exists(path):
                with open(path) as file:
                    fact[name] = file.read().strip()
        if fact.get("type") != "Instruction" and len(fact) == 3:
            sizes["L" + fact["level"]] = fact["size"]
    return sizes


def machine(binary):
    """What every results file says about where its numbers come from."""
    import datetime

    return {"processor": processor(), "cores": cores(), "caches": caches(), "build": run([binary, "--version"]).strip(),
            "date": datetime.date.today().isoformat(), "load_at_start": round(os.getloadavg()[0], 2)}


def registered(binary):
    return [entry["id"] for entry in json.loads(run([binary, "envs", "--json"]))]


def bench(binary, env_id, threads=1, num_envs=65536, seconds=1.0, ahead=True):
    """The one object that `rollmill bench ENV --env-only --json` prints; ahead: its actions are drawn before the clock starts."""
    return json.loads(run([binary, "bench", env_id, "--env-only", "--threads", str(threads), "--num-envs", str(num_envs),
                           "--seconds", str(seconds), *(["--actions-ahead"] if ahead else []), "--json"]))[0]


def short(rate):
    """12.3 M, 456 k, ..."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= unit:
            return f"{rate / unit:.{0 if rate >= 100 * unit else 1}f}{name}"
    return f"{rate:.0f}"


def heading(title, facts):
    return [f"# {title} on {facts['processor']}, {facts['cores']} cores", "",
            f"Build: {facts['build']}. {facts['date']}; load average when started: {facts['load_at_start']}.", ""]


def result_stem(name):
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return os.path.join(RESULTS, f"{name}-{slug}-{cores()}-cores")


def write_results(name, data, lines, any_machine=False):
    """benchmarks/results/NAME-<processor>-<n>-cores.json and .md, or NAME's alone where the machine does not matter; returns their
    common stem."""
    stem = os.path.join(RESULTS, name) if any_machine else result_stem(name)
    with open(stem + ".json", "w") as file:
        json.dump(data, file, indent=1 if any_machine else 2)
        file.write("\n")
    with open(stem + ".md", "w") as file:
        file.write("\n".join(lines) + "\n")
    return stem
