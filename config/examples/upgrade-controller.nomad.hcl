# Two controllers, of which one leads. Nomad's Consul agent on each node gives them their token.
#
#   consul acl role create -name nomad-tasks-upgrade-controller -policy-name upgrade-controller
#   nomad job run config/examples/upgrade-controller.nomad.hcl
#
# The policy is config/consul/controller.hcl, with session_prefix "" in place of its session rule: the job can run on any node. A
# binding rule of Nomad's auth method gives that role to the tasks of this job. The image is from `make image`
# (docs/how-to/install.md).
job "upgrade-controller" {
  type = "service"

  update {
    max_parallel     = 1
    health_check     = "checks"
    min_healthy_time = "10s"
    auto_revert      = true
  }

  group "upgrade-controller" {
    count = 2

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      mode = "host"
      port "probes" {}
      port "metrics" {}
    }

    service {
      name     = "upgrade-controller"
      port     = "probes"
      provider = "consul"

      check {
        type     = "http"
        path     = "/readyz"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "upgrade-controller" {
      driver       = "docker"
      user         = "65532:65532"
      kill_timeout = "30s"

      consul {}

      config {
        image        = "registry.example.com/upgrade-controller:v0.2.0"
        network_mode = "host"
        args = [
          "--http-addr=http://127.0.0.1:8500",
          "--token-file=${NOMAD_SECRETS_DIR}/consul_token",
          "--health-probe-bind-address=${NOMAD_ADDR_probes}",
          "--metrics-bind-address=127.0.0.1:${NOMAD_PORT_metrics}",
          "--dashboard-bind-address=0",
          "--log-format=json",
        ]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
      }

      resources {
        cpu    = 100
        memory = 512
      }
    }
  }
}
