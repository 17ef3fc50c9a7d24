DROP TABLE incident_tools, tool_decisions, tool_assessments, tools;
