-- MPP's commands as queries, and what else the admin plugin's script answers.
local harness = require("harness")
local test, equal, says = harness.test, harness.equal, harness.says

local A, B = "127.0.0.1:3301", "127.0.0.1:3302"
local PUSH = { source = "push" }

local function fresh(settings)
    return harness.proxy({ { A, "rw" }, { B, "ro" } }, { settings = settings or PUSH })
end

test("any case, any white space, a final semicolon, any spelling of the node", function()
    local host = fresh()
    harness.push(host, "mpp initialize 127.0.0.1:3301 type primary", "  MPP\tINITIALIZE\n[::ffff:127.0.0.1]:3302 Type Secondary ; ")
    harness.push(host, "MPP SET " .. A .. " STATE ACTIVE", "mPp SeT " .. A .. " sTaTe active;", "MPP SET " .. A .. " STATUS warn", "MPP SET " .. A .. " WEIGHT 0")
    harness.push(host, "MPP SET " .. B .. " STATE FAIL_ONLINE", "MPP SET " .. B .. " TYPE PRIMARY")
    for _, text in ipairs({ "MPP SHOW ALL", "mpp show all;", "Mpp  Show\tAll" }) do
        equal(harness.admin(host, text).kind, "resultset", text)
    end
    local shown = harness.shown(host)
    equal(shown[A]["mpp.type"] .. shown[A]["mpp.state"] .. shown[A]["mpp.status"] .. shown[A]["mpp.weight"], "PRIMARYACTIVEOK_WARN0")
    equal(shown[B]["mpp.type"] .. shown[B]["mpp.state"] .. shown[B]["mpp.status"] .. shown[B]["mpp.weight"], "PRIMARYFAILED_ONLINEUNKNOWN1")
end)

test("SHOW ALL: the proxy's own of every backend, and mpp's once initialized", function()
    local host = fresh()
    local got = harness.admin(host, "MPP SHOW ALL")
    local names = {}
    for _, field in ipairs(got.fields) do names[#names + 1] = field.name end
    equal(table.concat(names, " "), "nodename group element value")
    equal(#got.rows, 8)
    local shown = harness.shown(host)
    equal(shown[A]["proxy.type"] .. " " .. shown[B]["proxy.type"], "BACKEND_TYPE_RW BACKEND_TYPE_RO")
    equal(shown[A]["proxy.state"] .. " " .. shown[A]["proxy.address"] .. " " .. shown[A]["proxy.connected_clients"], "BACKEND_STATE_UNKNOWN " .. A .. " 0")
    equal(shown[A]["mpp.state"], nil)
    harness.push(host, "MPP INITIALIZE " .. A .. " TYPE PRIMARY")
    shown = harness.shown(host)
    equal(shown[A]["mpp.state"] .. shown[A]["mpp.status"] .. shown[A]["mpp.weight"], "UNKNOWNUNKNOWN1")
    equal(shown[B]["mpp.state"], nil)
end)

test("success is one row, as MPP's own script has it", function()
    local got = harness.admin(fresh(), "MPP INITIALIZE " .. A .. " TYPE PRIMARY;")
    equal(got.fields[1].name, "MPP INITIALIZE " .. A .. " TYPE PRIMARY")
    equal(#got.rows, 1)
    equal(got.rows[1][1], "SUCCESS")
end)

-- Commands that are wrong: number, SQLSTATE, a word of the text.
local WRONG = {
    { "MPP", 1064, "42000", "missing" },
    { "MPP ;", 1064, "42000", "missing" },
    { "MPP FLY", 1064, "42000", "FLY" },
    { "MPP SHOW", 1064, "42000", "MPP SHOW ALL" },
    { "MPP SHOW NODES", 1064, "42000", "NODES" },
    { "MPP SHOW ALL x", 1064, "42000", "x" },
    { "MPP SET", 1064, "42000", "missing" },
    { "MPP SET 127.0.0.1:3301", 1064, "42000", "missing" },
    { "MPP SET 127.0.0.1:3301 STATE", 1064, "42000", "missing" },
    { "MPP SET 127.0.0.1:3301 STATE ACTIVE NOW", 1064, "42000", "NOW" },
    { "MPP SET 127.0.0.1:3301 COLOUR RED", 1064, "42000", "COLOUR" },
    { "MPP SET 127.0.0.1:3301 STATE RED", 1231, "42000", "RED" },
    { "MPP SET 127.0.0.1:3301 STATUS ACTIVE", 1231, "42000", "STATUS" },
    { "MPP SET 127.0.0.1:3301 TYPE OK", 1231, "42000", "PRIMARY" },
    { "MPP SET 127.0.0.1:3301 WEIGHT -1", 1231, "42000", "0 to 1000" },
    { "MPP SET 127.0.0.1:3301 WEIGHT 1001", 1231, "42000", "0 to 1000" },
    { "MPP SET 127.0.0.1:3301 WEIGHT 1e2", 1231, "42000", "0 to 1000" },
    { "MPP SET 127.0.0.1:3301 WEIGHT 99999999999999999999", 1231, "42000", "0 to 1000" },
    { "MPP SET 127.0.0.1:99999 WEIGHT 1", 1231, "42000", "port" },
    { "MPP SET 1.2.3 WEIGHT 1", 1231, "42000", "decimal" },
    { "MPP SET 127.0.0.1:3301 STATE ACTIVE", 1105, "HY000", "uninitialized" },
    { "MPP INITIALIZE", 1064, "42000", "missing" },
    { "MPP INITIALIZE 127.0.0.1:3301 TYPE", 1064, "42000", "missing" },
    { "MPP INITIALIZE 127.0.0.1:3301 STATE ACTIVE", 1064, "42000", "TYPE" },
    { "MPP INITIALIZE 127.0.0.1:3301 TYPE OTHER", 1231, "42000", "PRIMARY" },
    { "MPP INITIALIZE 127.0.0.1:9999 TYPE PRIMARY", 1105, "HY000", "not configured in MySQL Proxy" },
    { "MPP \0\1\255 x", 1064, "42000", "unknown command" },
    { "MPP " .. ("x"):rep(100000), 1064, "42000", "..." },
    { "MPPX SHOW ALL", 1064, "42000", "SELECT * FROM help" },
    { "DROP TABLE t", 1064, "42000", "SELECT * FROM help" },
}

test("what is wrong is an error with its place, and changes nothing", function()
    local host = fresh()
    for _, wrong in ipairs(WRONG) do
        local got = harness.admin(host, wrong[1])
        local name = wrong[1]:sub(1, 60)
        equal(got.kind, "err", name)
        equal(got.errcode, wrong[2], name)
        equal(got.sqlstate, wrong[3], name)
        says(got.errmsg, wrong[4])
        if #got.errmsg > 512 then error("too long: " .. name) end
    end
    equal(harness.shown(host)[A]["mpp.state"], nil)
    equal(table.concat(host.lines, "\n"), "")
end)

test("random bytes are answered with errors", function()
    local host = fresh()
    math.randomseed(4)
    local words = { "MPP", "SET", "SHOW", "ALL", "INITIALIZE", A, "TYPE", "STATE", "ACTIVE", ";", "\0", "\255", "%s", "[", "" }
    for _ = 1, 3000 do
        local parts = {}
        for i = 1, math.random(0, 7) do parts[i] = words[math.random(#words)] end
        local text = "MPP " .. table.concat(parts, ({ " ", "", "\n" })[math.random(3)])
        local got = harness.admin(host, text)
        if got.kind ~= "err" and got.kind ~= "resultset" then error(text) end
        if got.errmsg and got.errmsg:find("script failed", 1, true) then error(text .. ": " .. got.errmsg) end
    end
end)

test("the admin plugin speaks the proxy's own words, and what clients ask when they log in", function()
    local host = fresh()
    local got = harness.admin(host, "SELECT * FROM backends")
    equal(got.rows[2][2] .. got.rows[2][3] .. got.rows[2][4], B .. "unknownro")
    equal(got.rows[2][5], nil)
    equal(harness.admin(host, "select *  from help ;").kind, "resultset")
    equal(harness.admin(host, "SET AUTOCOMMIT=0").kind, "ok")
    equal(harness.admin(host, "select @@version_comment limit 1").kind, "resultset")
    local con = host:accept_admin()
    equal(con:read_query("\14").answers[1].kind, "ok")
    equal(con:read_query("\22SELECT 1").answers[1].kind, "err")
end)

test("the data port takes commands from the users that it names, after their login", function()
    local settings = { source = "push", data_port_users = { "mpp" } }
    local host = fresh(settings)
    harness.push(host, "MPP INITIALIZE " .. A .. " TYPE PRIMARY", "MPP SET " .. A .. " STATE ACTIVE", "MPP SET " .. A .. " STATUS OK")
    local forwarded = host.backends[1].forwarded or 0
    local admin, other = harness.client(host, { login = "mpp" }), harness.client(host, { login = "app" })
    equal(admin:query("mpp show all").kind, "resultset")
    equal(admin:query("mpp fly").errcode, 1064)
    equal(admin:query("MPP SET " .. A .. " STATUS OK_WARN").kind, "resultset")
    equal(admin:query("SELECT 1"), "forwarded")
    equal(other:query("MPP SHOW ALL"), "forwarded")
    equal(host.backends[1].forwarded - forwarded, 2)

    -- Off unless named; and nobody whom the server has not let in.
    local off = fresh()
    harness.push(off, "MPP INITIALIZE " .. A .. " TYPE PRIMARY", "MPP SET " .. A .. " STATE ACTIVE", "MPP SET " .. A .. " STATUS OK")
    equal(harness.client(off, { login = "mpp" }):query("MPP SHOW ALL"), "forwarded")
    equal(harness.client(host, { login = "mpp", auth_result = "\255\21\4#28000Access denied" }).open, false)
end)

test("settings that make no sense are refused, with their key", function()
    harness.forget()
    local check = require("primacy_proxy.settings").check
    for word, given in pairs({
        ["source is missing"] = {}, ["source must be"] = { source = "x" }, ["no key rolle"] = { source = "push", rolle = 1 },
        ["needs config"] = { source = "library" }, ["role belongs"] = { source = "library", config = "c", service = "s", role = "any" },
        ["max_age must"] = { source = "push", max_age = 0 }, ["fallback belongs"] = { source = "push", fallback = "active" },
        ["names has"] = { source = "push", names = { x = "1.2.3" } }, ["data_port_users must"] = { source = "push", data_port_users = "x" },
        ["must be a table"] = 3,
    }) do
        harness.raises(word, check, given)
    end
    local load = require("primacy_proxy.settings").load
    harness.raises("cannot read the settings", load, FOLDER .. "/none.lua")
    local file = io.open(FOLDER .. "/bad.lua", "w")
    file:write("return { source = os.getenv('HOME') }")
    file:close()
    harness.raises("global 'os'", load, FOLDER .. "/bad.lua")
end)

test("the example settings are good, and the page names every key", function()
    harness.forget()
    local settings = require("primacy_proxy.settings")
    equal(settings.load(SCRIPTS .. "/../../../examples/mysql-proxy/push.lua").source, "push")
    equal(settings.load(SCRIPTS .. "/../../../examples/mysql-proxy/library.lua").service, "orders.rw")
    local page = io.open(SCRIPTS .. "/../../../docs/mysql-proxy.md"):read("*a")
    for _, key in ipairs(settings.keys()) do says(page, "\n| `" .. key .. "` |") end
end)

test("settings that cannot be read refuse every client, and the admin says why", function()
    local host = harness.proxy({ { A, "rw" } })
    local client = harness.client(host)
    equal(client.answer.kind, "err")
    equal(client.address, nil)
    says(harness.admin(host, "MPP SHOW ALL").errmsg, "cannot read the settings")
end)
