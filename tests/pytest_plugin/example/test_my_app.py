def test_a_day_costs_less_than_a_megabyte(bench, carrier):
    run = bench.run("my_app.py", hosts={"api.example": "responder"}, duration="1d")
    assert run.passed
    assert 300_000 < carrier.figures()["billed_octets"] < 1_000_000


def test_it_outlives_a_stop_and_a_reboot(bench, carrier, modem, guard):
    bench.start("my_app.py", hosts={"api.example": "responder"}, duration="3d", plan={"allowance_octets": "2MB"})
    bench.advance("6h")
    modem.reboot()
    carrier.stop()
    bench.wait_until(lambda: guard.verdict == "terminated", within="6h")
    carrier.resume()
    bench.wait_until(lambda: guard.verdict == "open", within="12h")
    assert bench.finish().passed
