"""The machine's facts, from files that look like a Raspberry Pi's and from this machine's own."""

from dataclasses import replace

from fer_edge.benchmark.machine import describe_machine, read_state, remarks


def put(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def raspberry_pi(root):
    put(root, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    put(root, "proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 108.00\nCPU part\t: 0xd0b\n")
    for core in range(4):
        folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
        put(root, f"{folder}/scaling_governor", "ondemand\n")
        put(root, f"{folder}/scaling_cur_freq", f"{1500000 + core * 300000}\n")
        put(root, f"{folder}/scaling_max_freq", "2400000\n")
    put(root, "sys/class/thermal/thermal_zone0/temp", "61250\n")


def test_board_without_a_model_name_is_named_by_its_device_tree(tmp_path):
    raspberry_pi(tmp_path)
    machine = describe_machine(tmp_path)
    assert machine.cpu == machine.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert {"fer-edge", "numpy", "ai-edge-litert"} <= set(machine.versions)


def test_state_has_units_people_know(tmp_path):
    raspberry_pi(tmp_path)
    state = read_state(tmp_path)
    assert (state.governor, state.frequency_mhz, state.max_frequency_mhz, state.temperature_c) == (
        "ondemand", 2400.0, 2400.0, 61.2,
    )  # fmt: skip


def test_what_is_not_told_is_none(tmp_path):
    state = read_state(tmp_path)
    assert (state.governor, state.frequency_mhz, state.temperature_c) == (None, None, None)
    assert describe_machine(tmp_path).cpu is None


def test_ordinary_computer_states_its_frequency_in_cpuinfo(tmp_path):
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU\ncpu MHz\t\t: 2596.123\n")
    assert describe_machine(tmp_path).cpu == "Some CPU"
    assert read_state(tmp_path).frequency_mhz == 2596.1


def test_busy_machine_and_changed_governor_are_remarked(tmp_path):
    machine = replace(describe_machine(tmp_path), cores=2)
    calm = replace(read_state(tmp_path), load_1min=0.1, governor="performance")
    assert remarks(machine, calm, calm) == []
    assert "load 2.5 on 2 cores" in remarks(machine, replace(calm, load_1min=2.5), calm)[0]
    assert "powersave" in remarks(machine, replace(calm, governor="powersave"), calm)[0]
