"""The published JSON Schema, generated from the models."""

import json

from audit.report.document import SCHEMA_VERSION, Report

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_json() -> str:
    """Return the schema of a report as JSON text, keys sorted."""
    schema = Report.model_json_schema(mode="serialization")
    schema |= {"$schema": _DIALECT, "title": f"astrobio-audit report {SCHEMA_VERSION}"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
