import time
from tests.workflows.play import Play
from tests.workflows.test_trial import prequalified
from tests.workflows.conftest import *  # noqa
from tests.conftest import *  # noqa
async def test_x(play: Play) -> None:
    t=time.time()
    def lap(w):
        nonlocal t
        print(w, round(time.time()-t,2)); t=time.time()
    domain, _ = await prequalified(play)
    lap("pre")
    play.fault("smtp", "status", status=451, times=10_000)
    await play.skip(domain, days=2.1); lap("skip")
    await play.quiet(domain, but="mail"); lap("quiet")
    d=(await play.trial(domain).describe()).raw_description
    print(d.pending_activities)
    await play.update(domain, "opt_out", {"by": f"bo@{domain}"}); lap("opt")
    play.sandbox.world.faults.clear()
    await play.skip(domain, hours=1); lap("skip")
    await play.quiet(domain); lap("quiet")
