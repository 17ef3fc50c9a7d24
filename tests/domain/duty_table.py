"""The figures of the laws as the table of the domain has them, copied by hand: the shipped rules are held against it.

Durations are ISO 8601; `bd` marks business days; None means that the law gives no figure.
"""

FEDERAL_AND_ABROAD: dict[str, tuple[str, str | None, str, str]] = {
    # rule: (clock event, figure, citation, confidence)
    "OB-HIPAA-IND": ("discovered_at", "P60D", "45 CFR 164.404(b)", "H"),
    "OB-HIPAA-HHS-500": ("discovered_at", "P60D", "45 CFR 164.408(b)", "H"),
    "OB-HIPAA-HHS-LOG": ("year_end", "P60D", "45 CFR 164.408(c)", "H"),
    "OB-HIPAA-MEDIA": ("discovered_at", "P60D", "45 CFR 164.406", "M"),
    "OB-HIPAA-BA": ("discovered_at", "P60D", "45 CFR 164.410", "H"),
    "OB-FTC-SAFE": ("discovered_at", "P30D", "16 CFR 314.4(j)", "H"),
    "OB-FTC-HBNR-IND": ("discovered_at", "P60D", "16 CFR 318.3", "M"),
    "OB-FTC-HBNR-FTC": ("discovered_at", "P60D", "16 CFR 318.4", "M"),
    "OB-FTC-HBNR-LOG": ("year_end", "P60D", "16 CFR 318.4", "M"),
    "OB-GLBA-BANK": ("determined_at", "PT36H", "12 CFR 53.3", "H"),
    "OB-GLBA-BSP": ("determined_at", None, "12 CFR 53.4", "H"),
    "OB-NCUA": ("aware_at", "PT72H", "12 CFR 748.1(c)", "M"),
    "OB-SEC-8K": ("materiality_determined_at", "4 bd", "Item 1.05", "H"),
    "OB-NYDFS": ("determined_at", "PT72H", "23 NYCRR 500.17(a)", "H"),
    "OB-NYDFS-PAY": ("payment_made_at", "PT24H", "23 NYCRR 500.17(c)", "M"),
    "OB-NYDFS-PAY-WHY": ("payment_made_at", "P30D", "23 NYCRR 500.17(c)", "M"),
    "OB-CIRCIA": ("aware_at", "PT72H", "6 U.S.C. 681b", "H"),
    "OB-CIRCIA-PAY": ("payment_made_at", "PT24H", "6 U.S.C. 681b", "H"),
    "OB-GDPR-SA": ("aware_at", "PT72H", "GDPR Art. 33(1)", "H"),
    "OB-GDPR-PROC": ("aware_at", None, "Art. 33(2)", "H"),
    "OB-GDPR-IND": ("aware_at", None, "Art. 34", "H"),
    "OB-GDPR-REG": ("aware_at", None, "Art. 33(5)", "H"),
    "OB-UKGDPR": ("aware_at", "PT72H", "UK GDPR Art. 33", "H"),
    "OB-UKGDPR-IND": ("aware_at", None, "UK GDPR Art. 34", "H"),
    "OB-UKGDPR-PROC": ("aware_at", None, "UK GDPR Art. 33", "H"),
    "OB-UKPECR": ("aware_at", "PT72H", "PECR reg. 5A", "M"),
    "OB-NIS2-24": ("aware_at", "PT24H", "Art. 23(4)(a)", "H"),
    "OB-NIS2-72": ("aware_at", "PT72H", "Art. 23(4)(b)", "H"),
    "OB-NIS2-1M": ("authority_notified_at", "P1M", "Art. 23(4)(d), (e)", "H"),
    "OB-NIS2-RECIP": ("aware_at", None, "Art. 23(1)", "M"),
    "OB-DORA-INIT": ("classified_at", "PT4H", "Art. 19(4)(a)", "H"),
    "OB-DORA-INT": ("authority_notified_at", "PT72H", "2025/301 Art. 5(1)(b)", "H"),
    "OB-DORA-FIN": ("intermediate_reported_at", "P1M", "2025/301 Art. 5(1)(c)", "H"),
    "OB-AIA-15": ("aware_at", "P15D", "Art. 73(2)", "H"),
    "OB-AIA-2": ("aware_at", "P2D", "Art. 73(3)", "H"),
    "OB-AIA-10": ("aware_at", "P10D", "Art. 73(4)", "H"),
    "OB-AIA-DEP": ("aware_at", None, "Art. 26(5)", "H"),
    "OB-AIA-GPAI": ("aware_at", None, "Art. 55(1)(c)", "H"),
    "OB-CA-OPC": ("determined_at", None, "PIPEDA s. 10.1", "H"),
    "OB-CA-OPC-IND": ("determined_at", None, "PIPEDA s. 10.1", "H"),
    "OB-CA-QC": ("aware_at", None, "s. 3.5", "L"),
    "OB-CA-QC-IND": ("aware_at", None, "s. 3.5", "L"),
    "OB-AU-ASSESS": ("aware_at", "P30D", "s. 26WH", "H"),
    "OB-AU-NOTIFY": ("determined_at", None, "ss. 26WK, 26WL", "H"),
    "OB-AU-NOTIFY-IND": ("determined_at", None, "ss. 26WK, 26WL", "H"),
    "OB-US-OTHER": ("discovered_at", None, "", "L"),
}
ADVISORY = {"OB-ADM-NYC", "OB-ADM-IL", "OB-ADM-CO", "OB-ADM-GDPR22", "OB-ADM-AIA26"}

DISCOVERY, DETERMINATION = "discovered_at", "determined_at"
STATES: dict[str, tuple[str, str | None, str | None, str | None, str | None, bool]] = {
    # state: (clock, individuals, authority's threshold, its figure, agencies' threshold, has a harm or scope test)
    "AL": (DETERMINATION, "P45D", "more than 1000", "P45D", "more than 1000", True),
    "AZ": (DETERMINATION, "P45D", "more than 1000", "P45D", "more than 1000", True),
    "CA": (DISCOVERY, "P30D", "more than 500", "P15D after individuals", None, False),
    "CO": (DETERMINATION, "P30D", "500 or more", "P30D", "more than 1000", True),
    "FL": (DETERMINATION, "P30D", "500 or more", "P30D", "more than 1000", True),
    "GA": (DISCOVERY, None, None, None, "more than 10000", True),
    "IL": (DISCOVERY, None, "more than 500", "with", None, False),
    "MA": (DISCOVERY, None, "any", None, "any", True),
    "MD": (DISCOVERY, "P45D", "any", "before", "1000 or more", True),
    "NJ": (DISCOVERY, None, "any", "before", "more than 1000", True),
    "NY": (DISCOVERY, "P30D", "any", "with", "more than 5000", True),
    "OH": (DISCOVERY, "P45D", None, None, "more than 1000", True),
    "OK": (DISCOVERY, None, "500 or more", "P60D after individuals", None, True),
    "OR": (DISCOVERY, "P45D", "more than 250", "P45D", "more than 1000", True),
    "PA": (DETERMINATION, None, "more than 500", "with", "500 or more", True),
    "TX": (DETERMINATION, "P60D", "250 or more", "P30D", "more than 10000", False),
    "VA": (DISCOVERY, None, "any", None, "more than 1000", True),
    "WA": (DISCOVERY, "P30D", "more than 500", "P30D", None, True),
}
MAINTAINERS: dict[str, str | None] = {
    # our duty to the owner of the data: a figure, "at once", or no figure
    "AL": "P10D", "AZ": None, "CA": "at once", "CO": None, "FL": "P10D", "GA": "PT24H", "IL": "at once", "MA": None,
    "MD": "P10D", "NJ": None, "NY": "P30D", "OH": None, "OK": None, "OR": "P10D", "PA": None, "TX": "at once",
    "VA": None, "WA": "at once",
}  # fmt: skip

EVERYWHERE = {"government_id", "financial_account", "payment_card"}
LISTED: dict[str, set[str]] = {
    "credentials_user": {"AL", "AZ", "CA", "CO", "FL", "GA", "IL", "MD", "NJ", "NY", "OR", "PA", "WA"},
    "phi": {"AL", "AZ", "CA", "CO", "FL", "IL", "MD", "NY", "OR", "TX", "WA"},
    "biometric": {"AZ", "CA", "CO", "IL", "MD", "NY", "OK", "OR", "WA"},
}
