-- Everything that makes or copies something, to be run out of memory at each allocation. Run by host.c, under valgrind too: an
-- error in the middle must lose nothing. What fails for another reason than memory is an error of its own.
local primacy = require "primacy"
primacy.allow_blocking(true)
local A, B = "10.0.1.11:3306", "10.0.1.12:3306"

local function need(value, why)
    if value == nil then error(why, 0) end
    return value
end

return function()
    local config = need(primacy.config { pools = { "name:orders;primary:" .. A .. ";secondary:" .. B } })
    need(config:set("pool.orders.policy", "mpp"))
    need(config:load_text "[pool.orders]\nprobe = 'external'\n")
    local p = need(primacy.open(config))
    local queue = need(p:events { kinds = { "state", "switch" }, pool = "orders" })
    for _ = 1, 2 do
        need(p:observe("orders", A, "ok", {
            message = "fine", version = "8.0.36", channels = { { name = "west", lag = 1, error = "none" }, {} },
        }))
        need(p:observe("orders", B, "ok"))
        need(p:cycle "orders")
    end
    need(p:override("orders", B, { reason = "new disk", weight = 0, limit = 60 }))
    local all = need(p:snapshot())
    need(all.pool.orders.node[B].override.weight)
    need(p:json())
    need(p:metrics())
    need(p:explain "orders")
    need(queue:next())
    local _, why, code = p:recover("orders", "10.9.9.9")
    need(code == primacy.E.NOT_FOUND or nil, why)
    need(rawequal(p, primacy.open(config)) or nil, "found again")
    local rw = need(p:selector("orders.rw", { seed = "7", site = "east" }))
    local many = {}
    for at = 1, 40 do many[at] = at + 10 end
    local backend = need(rw:select { avoid = many })
    need(backend.address .. backend.epoch .. tostring(backend))
    need(rw:current(backend))
    need(rw:report(backend, "connected"))
    need(rw:reason())
    need(rw:node_name(backend))
    need(rw:release(backend))
    need(p:close())
end
