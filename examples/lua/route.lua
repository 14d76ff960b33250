-- Looks at the servers once and says where the next clients of a service would go.
--
--     lua route.lua CONFIGURATION POOL.SERVICE [CLIENTS]
--
-- Exits with 1 if a client would find nobody.

local primacy = require "primacy"

local path, service, clients = arg[1], arg[2], tonumber(arg[3] or 5)
local pool = service and service:match "^([^.]+)%.[^.]+$"
if not pool or not clients then
    io.stderr:write("usage: lua route.lua CONFIGURATION POOL.SERVICE [CLIENTS]\n")
    os.exit(2)
end

-- One look is enough here, and this script may wait for it.
local p = assert(primacy.new(path, { blocking = true }))
assert(p:run_cycle(pool, 10))
local selector = assert(p:selector(service))

local code = 0
for client = 1, clients do
    local backend, why = selector:select()
    if backend then
        print(("client %d: %s (%s)"):format(client, backend.address, backend.reason))
        -- A proxy calls release when the session has ended. Here all of them stay, so that strategies that count see them.
    else
        print(("client %d: %s"):format(client, why))
        code = 1
    end
end
p:close()
os.exit(code)
