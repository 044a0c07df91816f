{{/* What values.schema.json cannot say: what is needed together. Every message names the value. */}}
{{- define "ingestion.validate" -}}
{{- $config := .Values.config -}}
{{- $secrets := .Values.secrets -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is needed, as in ghcr.io/<owner>/wal-cdc" -}}
{{- end -}}
{{- if not (hasKey $secrets "token") -}}
{{- fail "secrets.token is needed: name and key of a Secret with the token that guards status page and API" -}}
{{- end -}}
{{- if not (or (dig "clickhouse" "url" "" $config) (hasKey $secrets "clickhouse.url")) -}}
{{- fail "config.clickhouse.url is needed, or secrets.clickhouse.url: the image has no embedded ClickHouse" -}}
{{- end -}}
{{- /* Here and not in the schema, whose message would say nothing or show it. */ -}}
{{- range $name, $url := dict
      "config.postgres.url" (dig "postgres" "url" "" $config)
      "config.clickhouse.url" (dig "clickhouse" "url" "" $config)
      "config.kafka.registry" (dig "kafka" "registry" "" $config)
      "config.kafka.connect" (dig "kafka" "connect" "" $config)
      "demoWriter.config.postgres.url" (dig "postgres" "url" "" .Values.demoWriter.config) -}}
{{- if regexMatch "//[^/@]*:[^/@]*@|[?&](ssl)?password=" ($url | default "") -}}
{{- fail (printf "%s has a password, and would be in a ConfigMap: leave it out there, and name a Secret that has it under secrets" $name) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^(localhost|127\\.|\\[::1\\])" $config.listen -}}
{{- fail (printf "config.listen is %s, which probes and Prometheus cannot reach: use 0.0.0.0:8080" $config.listen) -}}
{{- end -}}
{{- if and (eq .Values.mode "wal") (not (or (dig "postgres" "url" "" $config) (hasKey $secrets "postgres.url"))) -}}
{{- fail "config.postgres.url is needed in mode wal, or secrets.postgres.url" -}}
{{- end -}}
{{- if and (eq .Values.mode "cdc") (not (dig "kafka" "brokers" "" $config)) -}}
{{- fail "config.kafka.brokers is needed in mode cdc" -}}
{{- end -}}
{{- if and (eq .Values.mode "synthetic") (eq (dig "synthetic" "into" "clickhouse" $config) "postgres") -}}
{{- fail "config.synthetic.into is postgres: use demoWriter, which runs beside the pipeline and has no HTTP server to probe" -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- range .Values.prometheusRule.disabled -}}
{{- if not ($.Files.Get (printf "files/alerts/%s.yaml" .)) -}}
{{- fail (printf "prometheusRule.disabled names %s, and files/alerts has no %s.yaml" . .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.prometheusRule.enabled (not .Values.prometheusRule.runbookUrl) -}}
{{- fail "prometheusRule.runbookUrl is needed: where docs/runbooks can be read" -}}
{{- end -}}
{{- with .Values.demoWriter -}}
{{- if and .enabled (not (or (dig "postgres" "url" "" .config) (hasKey .secrets "postgres.url"))) -}}
{{- fail "demoWriter.config.postgres.url is needed, or demoWriter.secrets.postgres.url" -}}
{{- end -}}
{{- end -}}
{{- end }}
