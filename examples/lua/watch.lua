-- Prints who takes the writes, and every event as it comes.
--
--     lua watch.lua CONFIGURATION [SECONDS]        without a time: for ever
--
-- With the module from the build: LUA_CPATH="target/lua/5.4/?.so" lua5.4 examples/lua/watch.lua primacy.toml

local primacy = require "primacy"

local path, seconds = arg[1], tonumber(arg[2])
if not path then
    io.stderr:write("usage: lua watch.lua CONFIGURATION [SECONDS]\n")
    os.exit(2)
end
io.stdout:setvbuf "line"

-- A script of its own has nobody who must not wait. A proxy leaves this out.
primacy.allow_blocking(true)

local p = assert(primacy.new(path))
local queue = assert(p:events())
assert(p:start())

local function show(pool)
    local address, why = p:active(pool.name)
    print(("%s: %s"):format(pool.name, address or why or "nobody"))
end

for _, pool in ipairs(assert(p:snapshot()).pools) do show(pool) end
local ends = seconds and os.time() + seconds
while not ends or os.time() < ends do
    local event, why = queue:wait(1)
    if event then
        local rule = event.rule > 0 and (" (rule %d)"):format(event.rule) or ""
        print(("%s %s%s: %s%s"):format(os.date("%H:%M:%S", math.floor(event.wall_ms / 1000)), event.kind,
            event.node ~= "" and " " .. event.node or "", event.message, rule))
        if event.kind == "switch" then show { name = event.pool } end
    elseif why then
        error(why)
    end
end
p:close()
