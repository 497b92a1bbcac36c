from tests.workflows.play import Play


async def test_prequalified(play: Play) -> None:
    domain = play.company()
    play.crm({"Name": "Acme", "Domain__c": domain, "Trial_Prequalified__c": True})
    play.cohort()
    [host] = play.warm("src-a")
    play.cloud()
    answer = await play.signup(f"bo@{domain}")
    assert (answer.case, answer.outcome, answer.host) == ("2.2", "instant", host)
    await play.stage(domain, "onboarding")
    play.use(host)
    import time
    t0 = time.time()
    await play.skip(domain, days=15.1)
    status = await play.stage(domain, "extended")
    print(time.time() - t0, status)
    await play.skip(domain, days=12.1)
    await play.answer(domain, "deadline", "convert", fields={"seats": 50})
    print(await play.ended(domain))
    import json
    print(json.dumps(play.effects(domain), indent=1))
    desc = await play.trial(domain).describe()
    print(desc.history_length)
    for d in await play.dossier(domain): print(d.what, d.outcome, d.rule)
