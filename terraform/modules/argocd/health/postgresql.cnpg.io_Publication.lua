-- The operator says in status.applied whether PostgreSQL has it.
if obj.status == nil or obj.status.applied == nil then
  return { status = "Progressing", message = "waiting for the operator" }
end
if obj.status.applied then
  return { status = "Healthy", message = "" }
end
return { status = "Degraded", message = obj.status.message or "not applied" }
