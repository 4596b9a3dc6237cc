# Policy for upgrade-agent on one host. HOST stands for the host's name as the agent uses it (upgrade-agent --hostname; by default
# the full host name):
#
#   sed "s/HOST/web1.example.com/" config/consul/agent.hcl |
#     consul acl policy create -name upgrade-agent-web1.example.com -rules -
#
# docs/security.md says what a stolen token can do, and what one policy for all hosts would cost.

key "current_version"           { policy = "read" }
key_prefix "config_state/"      { policy = "list" }
key_prefix "upgrade.jiocloud.com/holds/" { policy = "read" }
key "upgrade.jiocloud.com/action" { policy = "read" }

# upgrade-agent host-data prints this too. "list" is "read", and allows whole trees where acl.enable_key_list_policy is set.
key_prefix "config_version/"    { policy = "list" }

# The host's grant, which it deletes as it starts.
key "upgrade.jiocloud.com/grants/HOST"  { policy = "write" }

# The host's own report, and its started marker.
key "upgrade.jiocloud.com/hosts/HOST"   { policy = "write" }
key "upgrade.jiocloud.com/started/HOST" { policy = "write" }

# Its record, running/versions/<version>/HOST. No rule of Consul matches the end of a key, so this lets it write the
# records of other hosts as well.
key_prefix "running/versions/"  { policy = "write" }
# upgrade-agent update-own-info checks whether a fleet records below the old tree.
key_prefix "running_version/"   { policy = "list" }

# The checks puppet and validation of its node, which has its name. Leave it out if the configuration keeps no checks.
node "HOST" { policy = "write" }

# For upgrade-agent update-own-status puppet_service and validation_service, and local-health: leave them out if no script calls
# these.
service "puppet"     { policy = "write" }
service "validation" { policy = "write" }
service_prefix ""    { policy = "read" }
