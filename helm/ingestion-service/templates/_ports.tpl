{{/* Ports that a pod must reach, as JSON list: a dict of config and secrets. */}}
{{- define "ingestion.egressPorts" -}}
{{- $config := .config -}}
{{- $secrets := .secrets -}}
{{- $ports := list -}}
{{- $urls := list
  (list "postgres.url" (dig "postgres" "url" "" $config))
  (list "clickhouse.url" (dig "clickhouse" "url" "" $config))
  (list "kafka.registry" (dig "kafka" "registry" "" $config))
  (list "kafka.connect" (dig "kafka" "connect" "" $config))
  (list "kafka.sasl.tokenUrl" (dig "kafka" "sasl" "tokenUrl" "" $config)) -}}
{{- $usual := dict "postgres.url" 5432 "clickhouse.url" 8123 "kafka.registry" 8081 "kafka.connect" 8083 -}}
{{- range $urls -}}
{{- $setting := index . 0 -}}
{{- $url := index . 1 -}}
{{- if hasKey $secrets $setting -}}
{{- $ports = append $ports (get $usual $setting) -}}
{{- else if $url -}}
{{- $given := (urlParse $url).host | regexFind ":[0-9]+$" | trimPrefix ":" -}}
{{- if $given -}}
{{- $ports = append $ports (int $given) -}}
{{- else if regexMatch "^postgres" $url -}}
{{- $ports = append $ports 5432 -}}
{{- else -}}
{{- $ports = append $ports (ternary 443 80 (hasPrefix "https:" $url)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range dig "kafka" "brokers" list $config -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* DNS, and the ports above at the peers of networkPolicy.to: a dict of root, config and secrets. */}}
{{- define "ingestion.egress" -}}
- to:
    - namespaceSelector: {}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
- ports:
    {{- range include "ingestion.egressPorts" . | fromJsonArray }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .root.Values.networkPolicy.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .root.Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}
