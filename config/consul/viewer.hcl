# Policy for viewers: upgradectl status, get, describe, diff, rollout status, and every --dry-run.
# "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.

key "current_version"                      { policy = "read" }
key "upgrade.jiocloud.com/leader"          { policy = "read" }
key "upgrade.jiocloud.com/action"          { policy = "read" }
key_prefix "upgrade.jiocloud.com/controllers/" { policy = "list" }
key_prefix "upgrade.jiocloud.com/plans/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/sources/" { policy = "list" }
key_prefix "upgrade.jiocloud.com/audit/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/hosts/"   { policy = "list" }
key_prefix "upgrade.jiocloud.com/grants/"  { policy = "list" }
key_prefix "upgrade.jiocloud.com/started/" { policy = "list" }
key_prefix "upgrade.jiocloud.com/holds/"   { policy = "list" }
key_prefix "config_state/"                 { policy = "list" }
key_prefix "running/versions/"             { policy = "list" }
key_prefix "running_version/"              { policy = "list" }

# Checks and nodes, for plans with healthGate or hosts.source: Catalog, and for upgradectl get-failures.
node_prefix ""    { policy = "read" }
service_prefix "" { policy = "read" }
