-- Argo CD does not wait for Applications between waves without this. It calls an Application healthy whose objects are, also while there are
-- none, because its chart cannot be fetched, or not all yet, because its sync goes on. What comes after it needs all of them.
local health = { status = "Progressing", message = "" }
if obj.status == nil or obj.status.health == nil or obj.status.sync == nil then
  return health
end
health.status = obj.status.health.status
health.message = obj.status.health.message or ""
if health.status ~= "Healthy" then
  return health
end

local last = obj.status.operationState
if last ~= nil and (last.phase == "Failed" or last.phase == "Error") then
  return { status = "Degraded", message = last.message or "" }
end
-- Not whether it is in sync: a difference that comes back after every sync would hold up the others for ever.
local was_synced = last ~= nil and last.phase == "Succeeded" or last == nil and obj.status.sync.status == "Synced"
if obj.status.sync.status == "Unknown" or not was_synced then
  return { status = "Progressing", message = "waiting for its sync" }
end
return health
