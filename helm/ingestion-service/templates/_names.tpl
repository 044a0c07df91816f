{{- define "ingestion.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "ingestion.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What tells the pods of a component. Never changes: selectors are immutable. */}}
{{- define "ingestion.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "ingestion.labels" -}}
{{ include "ingestion.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wal-cdc
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The port in host:port. */}}
{{- define "ingestion.port" -}}
{{ .Values.config.listen | default "" | regexFind "[0-9]+$" }}
{{- end }}

{{- define "ingestion.group" -}}
{{ dig "kafka" "group" (printf "wal_cdc_%s" (.Values.config.pipeline | default "default")) .Values.config }}
{{- end }}
